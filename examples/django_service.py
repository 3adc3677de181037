"""Balances in Django's threads: `python examples/django_service.py runserver --noreload` reads ./accounts.toml."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from balancekit import WebhookVerificationError
from balancekit.blocking import Client
from balancekit.config import load_config

# In a project this is settings.py, with BALANCES = make_client().
settings.configure(ALLOWED_HOSTS=["127.0.0.1", "localhost"], ROOT_URLCONF=__name__, BALANCES=None)


def make_client() -> Client:
    """Make the one client of the process; its thread starts at the first call, after a server has forked."""
    return load_config("accounts.toml").make_blocking_client()


@require_GET
def balances(_: HttpRequest) -> HttpResponse:
    """Return what is a minute old at most, within three seconds."""
    merged = settings.BALANCES.fetch(max_age=60, stale_if_error=3600, deadline=3)
    return HttpResponse(merged.to_json(), content_type="application/json")


@require_GET
def health(_: HttpRequest) -> HttpResponse:
    """Name the accounts that are down, without asking anybody."""
    down = {label: str(each.error) for label, each in settings.BALANCES.status().items() if each.up is False}
    return JsonResponse(down, status=503 if down else 200)


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, account: str) -> HttpResponse:
    """Take a webhook: its account is read again by the next call."""
    try:
        settings.BALANCES.handle_webhook(account, request.headers, request.body)
    except WebhookVerificationError:
        return HttpResponse(status=400)
    return HttpResponse(status=204)


urlpatterns = [path("balances", balances), path("health", health), path("webhooks/<str:account>", webhook)]

if __name__ == "__main__":
    settings.BALANCES = make_client()
    execute_from_command_line(sys.argv)

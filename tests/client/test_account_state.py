"""What is known of one account, and how old it is, whatever clocks do. Nothing here waits."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from balancekit import AuthenticationError, ServiceUnavailableError
from balancekit.client.account_state import AccountState, Moment, next_question

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds, *, wall=None):
    """Return a moment so many seconds after the start; by the wall clock too, unless that was set."""
    return Moment(seconds, START.timestamp() + (seconds if wall is None else wall) - seconds)


def fail(state, error, *, sent_at, moment, **settings):
    """Note a read of one request, which failed, at the account's present version unless another is given."""
    given = {"begun_at": sent_at, "version": state.version} | settings
    state.failed(error, sent_at=sent_at, moment=moment, **given)


def outage(**facts):
    """Make the error of an account that is down."""
    return ServiceUnavailableError("down", account="shop", provider="bank", **facts)


@pytest.fixture
def state():
    """Nothing is known of the account yet."""
    return AccountState()


@pytest.fixture
def snapshot(make_snapshot):
    """Make a snapshot whose request was sent so many seconds after the start."""
    return lambda seconds, amount="1": make_snapshot(
        "shop", ("BTC", amount), fetched_at=START + timedelta(seconds=seconds)
    )


def test_the_last_snapshot_is_the_one_that_was_requested_last(state, make_snapshot):
    """A slow response that arrives after a later one does not take its place, whatever the wall clock said."""
    earlier = make_snapshot("shop", ("BTC", "1"), fetched_at=datetime(2026, 1, 2, tzinfo=UTC))
    later = make_snapshot("shop", ("BTC", "2"), fetched_at=datetime(2026, 1, 1, tzinfo=UTC))

    state.keep(later, sent_at=2.0, version="1")
    state.keep(earlier, sent_at=1.0, version="1")

    assert state.last is later


@pytest.mark.parametrize(("age", "kept"), [(50.0, True), (70.0, False)], ids=["younger", "older"])
def test_a_younger_snapshot_of_a_store_becomes_the_last(state, snapshot, age, kept):
    """The minute in which the machine was suspended counts, although its monotonic clock stood still."""
    own, stored = snapshot(0), snapshot(0, "2")
    state.keep(own, sent_at=0.0, version="1")

    state.keep_stored(stored, age=age, version="1", moment=at(0, wall=60))

    assert state.last is (stored if kept else own)


def test_two_snapshots_of_one_moment_are_two(state, snapshot):
    """The wall clock may stand still between two reads, or be shown to the second alone by a store."""
    earlier, later = snapshot(0), snapshot(0, "2")
    state.keep(earlier, sent_at=0.0, version="1")
    state.version = "2"

    entered = state.date(later, age=0.0, moment=at(0))
    state.keep_stored(entered, age=0.0, version="2", moment=at(0))

    assert (entered, state.last, state.is_valid) == (later, later, True)


@pytest.mark.parametrize("delay", [0, 60], ids=["as it is", "dated earlier"])
def test_a_snapshot_of_a_store_is_known_when_it_is_read_from_there_again(state, snapshot, delay):
    """Although it is another object each time."""
    first = state.date(snapshot(delay), age=0.0, moment=at(0))
    state.keep_stored(first, age=0.0, version="1", moment=at(0))
    again = [state.date(snapshot(delay), age=float(seconds), moment=at(seconds)) for seconds in (1, 2)]

    assert again[0] is again[1] is state.last is first


def test_a_snapshot_is_fresh_for_those_who_accept_its_age(state, snapshot):
    """It serves until it is older than that, and only at the version that it was read at."""
    kept = snapshot(0)
    state.keep(kept, sent_at=0.0, version=state.version)

    assert state.fresh(state.version, 10.0, at(10)) is kept
    assert state.fresh(state.version, 10.0, at(10.5)) is None
    assert state.fresh("another", 10.0, at(5)) is None


def test_a_snapshot_is_as_old_as_its_provider_reports(state, snapshot):
    """What the provider held a minute before the request is a minute older for those who accept an age."""
    reported = attrs.evolve(snapshot(0), reported_at=START - timedelta(seconds=60))
    state.version = "1"
    state.keep(reported, sent_at=0.0, version="1")

    assert state.fresh("1", 70.0, at(10)) is reported
    assert state.fresh("1", 69.0, at(10)) is None


def test_a_later_request_is_kept_however_old_its_balances_are(state, snapshot):
    """The order is that of the requests: what the provider reported last is what it reports now."""
    delayed = attrs.evolve(snapshot(10), reported_at=START - timedelta(seconds=60))
    state.keep(snapshot(0), sent_at=0.0, version="1")

    state.keep_stored(delayed, age=5.0, version="1", moment=at(15))

    assert state.last is delayed


def test_the_providers_moment_is_shown_as_no_younger_after_the_clock_is_set_back(state, snapshot):
    """Both moments move with the clock, so that the balances stay as old as they are."""
    state.keep(attrs.evolve(snapshot(0), reported_at=START - timedelta(seconds=60)), sent_at=0.0, version="1")

    shown = state.kept.shown(at(10, wall=-3600))

    assert shown.as_of <= START - timedelta(seconds=3600 + 60)


def test_the_time_of_a_suspension_counts(state, snapshot):
    """A snapshot is as old as the wall clock says if that is more than the monotonic one."""
    state.keep(snapshot(0), sent_at=0.0, version="1")

    assert state.kept.age(at(5, wall=3600)) == 3600


def test_a_wall_clock_that_is_set_back_makes_nothing_younger(state, snapshot):
    """The monotonic clock has the last word, and what is shown is dated by it."""
    kept = snapshot(0)
    state.keep(kept, sent_at=0.0, version="1")
    moment = at(100, wall=-3500)

    assert state.kept.age(moment) == 100
    assert state.kept.shown(moment).age(datetime.fromtimestamp(moment.wall, UTC)) == 100


def test_an_invalidation_makes_the_last_snapshot_stale(state, snapshot):
    """What was read before the balances may have changed is not valid any more, and is kept all the same."""
    kept = snapshot(0)
    state.keep(kept, sent_at=0.0, version=state.version)
    before = state.is_valid
    state.invalidate(at(1))

    assert (before, state.is_valid, state.last) == (True, False, kept)


def test_a_version_that_was_asked_for_before_an_invalidation_is_not_taken(state):
    """The store may have returned it before it heard of the change, in the same tick of the clock."""
    question = next_question()
    state.invalidate(at(5))
    local = state.version
    state.learn_version("old", question=question)
    late = state.version
    state.learn_version("new", question=next_question())

    assert (late, state.version) == (local, "new")


def test_a_version_is_that_of_the_latest_question(state):
    """The answer to an earlier one, which comes later, does not bring the former version back."""
    earlier, later = next_question(), next_question()
    state.learn_version("new", question=later)
    state.learn_version("old", question=earlier)

    assert state.version == "new"


def test_a_failure_is_remembered_until_its_cooldown_is_over(state):
    """Within it, callers are given the failure again, with its age and the time that is left; afterwards none."""
    fail(state, outage(), sent_at=0, moment=at(1))
    remembered = state.remembered_failure(at(1.5))

    assert (remembered.message, 0 < remembered.retry_after <= 0.7) == ("down (0 s ago)", True)
    assert state.remembered_failure(at(3)) is None
    assert state.failure is not None


def test_each_caller_is_given_an_error_of_its_own(state):
    """Raised by thousands, one object would collect all their frames."""
    fail(state, outage(), sent_at=0, moment=at(0))

    assert state.remembered_failure(at(0.1)) is not state.remembered_failure(at(0.1))


def test_a_rejected_key_is_left_alone_for_a_minute(state):
    """Trying again changes nothing."""
    rejected = AuthenticationError("no", account="shop", provider="bank")
    fail(state, rejected, sent_at=0, moment=at(0))

    assert state.remembered_failure(at(59)) is not None
    assert state.remembered_failure(at(61)) is None


@pytest.mark.parametrize("end", ["success", "invalidation"])
def test_a_cooldown_ends_with_a_success_or_a_change(state, end):
    """Whatever shows that it is worth asking again."""
    fail(state, outage(), sent_at=0, moment=at(0))
    if end == "success":
        state.succeeded(sent_at=0.1, moment=at(0.1))
    else:
        state.invalidate(at(0.2))

    assert state.remembered_failure(at(0.3)) is None


def test_a_failure_of_an_earlier_request_than_a_success_says_nothing_new(state):
    """A request that hung while a later one was responded to does not put the account down."""
    state.succeeded(sent_at=5, moment=at(5))
    fail(state, outage(), sent_at=1, moment=at(11))

    assert (state.last_success.wall, state.failure) == (START.timestamp() + 5, None)


def test_a_status_knows_since_when_an_account_is_down(state):
    """The first of several failures, and the last success before it."""
    assert state.last_success is None
    state.succeeded(sent_at=0, moment=at(1))
    fail(state, outage(), sent_at=2, moment=at(3))
    fail(state, outage(), sent_at=10, moment=at(12))

    start = START.timestamp()
    assert state.failure is not None
    moments = state.last_success, state.down_since, state.last_failure
    assert [moment.wall for moment in moments] == [start, start + 3, start + 12]


def test_a_snapshot_that_a_store_could_not_take_is_preferred_to_the_one_that_it_has(state, snapshot):
    """At the same version the younger one counts; the wall clocks of two machines say nothing of which that is."""
    state.version = "1"
    own = snapshot(10)
    state.keep(own, sent_at=10.0, version="1")

    state.keep_stored(snapshot(20), age=11, version="1", moment=at(11))
    assert state.last is own
    state.keep_stored(younger := snapshot(0), age=0.5, version="1", moment=at(13))
    assert state.last is younger


def test_what_a_store_has_from_before_an_invalidation_is_not_valid(state, snapshot):
    """A store that leads back to an earlier server has forgotten the change; what was sent since then is good."""
    state.version = "1"
    state.keep(snapshot(0), sent_at=0.0, version="1")
    state.invalidate(at(5.2), since=5)
    state.learn_version("1", question=next_question())

    own = state.is_valid
    state.keep_stored(snapshot(4), age=5.01, version="1", moment=at(10))
    early = state.is_valid
    state.keep_stored(snapshot(6), age=4.99, version="1", moment=at(10))

    assert (own, early, state.is_valid) == (False, False, True)


def test_no_number_goes_back_to_a_valid_one_that_was_requested_earlier(state, snapshot):
    """The later one may be from before a change, so that the account is to be read again."""
    state.version = "2"
    state.keep(later := snapshot(2), sent_at=2.0, version="1")

    assert not state.keep_stored(snapshot(1), age=9, version="2", moment=at(10))
    assert (state.last, state.is_valid) == (later, False)


def test_the_last_snapshot_is_valid_once_a_store_says_so(state, snapshot):
    """It was read at a version that this process had not learned."""
    state.keep(last := snapshot(2), sent_at=2.0, version="1")
    state.learn_version("2", question=next_question())

    assert state.keep_stored(last, age=9, version="2", moment=at(10))
    assert (state.last, state.is_valid) == (last, True)


def test_a_snapshot_of_a_store_is_dated_once_as_it_enters(state, snapshot):
    """A replica whose clock is an hour ahead makes nothing younger, and the snapshot is known when it comes again."""
    stored = snapshot(3600)
    dated = state.date(stored, age=10, moment=at(10))
    state.keep_stored(dated, age=10, version="1", moment=at(10))

    assert dated.fetched_at == START
    assert state.date(stored, age=20, moment=at(20)) is dated
    assert not state.keep_stored(dated, age=19.9, version="1", moment=at(20))


def test_a_snapshot_of_a_replica_whose_clock_is_behind_is_as_old_as_the_store_says(state, snapshot):
    """The clock of that machine says nothing of how old it is here."""
    state.keep_stored(snapshot(-3600), age=10, version="1", moment=at(10))

    assert state.kept.age(at(20)) == 20


def test_of_a_failure_and_a_success_that_counts_whose_request_was_sent_later(state):
    """A read that began before the success, and tried again after it, has found the account down."""
    state.succeeded(sent_at=5, moment=at(5))
    state.failed(outage(), begun_at=0, sent_at=9, version=state.version, moment=at(11))

    assert state.failure is not None


@pytest.mark.parametrize(("took", "is_news"), [(8, False), (1, True)], ids=["sent before", "sent after"])
def test_a_failure_of_another_process_is_ordered_by_its_request(state, took, is_news):
    """It was put after the success, which its request was sent before, or was not."""
    state.succeeded(sent_at=5, moment=at(5))
    facts = {"age": 1, "cooldown": 5, "version": state.version, "moment": at(11)}

    assert state.learn_failure(outage(), took=took, **facts) == is_news
    assert (state.failure is not None) == is_news


def test_a_failure_of_a_request_from_before_a_change_begins_no_cooldown(state):
    """The account may be read again at once; a failure of a request that was sent since then is remembered."""
    version = state.version
    state.invalidate(at(5))
    fail(state, outage(), sent_at=4, version=version, moment=at(6))
    early = state.remembered_failure(at(6))
    fail(state, outage(), sent_at=6, moment=at(7))

    assert early is None
    assert state.remembered_failure(at(7)) is not None


def test_a_success_of_an_earlier_request_than_a_failure_does_not_end_it(state):
    """A slow response from before the key was revoked does not put the account up; that of a later request does."""
    fail(state, outage(), sent_at=2, moment=at(3))
    state.succeeded(sent_at=1, moment=at(3.5))
    early = state.failure, state.remembered_failure(at(3.5)) is not None
    state.succeeded(sent_at=2, moment=at(4))

    assert early[0] is not None
    assert early[1]
    assert (state.failure, state.down_since) == (None, None)


@pytest.mark.parametrize(("sent_at", "ends_it"), [(4, False), (6, True)], ids=["before the last", "after the last"])
def test_a_success_that_arrives_during_a_cooldown_of_the_origin_counts(state, sent_at, ends_it):
    """Its request was under way when another was not sent; one of an earlier request says nothing new."""
    state.succeeded(sent_at=5, moment=at(5))
    state.not_asked(outage(), at(7))
    state.succeeded(sent_at=sent_at, moment=at(8))

    assert (state.failure is None) == ends_it


def test_a_stale_snapshot_whose_caller_waits_is_dated_anew_after_the_clock_is_set_back(state, snapshot):
    """It was given for want of another, and is no younger than it is."""
    state.keep(snapshot(0), sent_at=0.0, version="1")
    stale = state.stale(at(10))

    same, earlier = state.instead_of(stale, at(11)), state.instead_of(stale, at(20, wall=-3600))

    assert same is stale
    assert earlier.stale
    assert earlier.fetched_at == START - timedelta(seconds=3620)


def test_a_suspension_counts_after_a_watch_has_seen_the_clock_set_back(state, snapshot):
    """Together they leave the wall clock as it was."""
    state.keep(snapshot(0), sent_at=0.0, version="1")
    state.note_set_back(at(10, wall=-3590))

    assert state.kept.age(at(20, wall=20)) == 3620

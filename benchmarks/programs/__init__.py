"""Programs that are measured from outside, each as a process of its own."""

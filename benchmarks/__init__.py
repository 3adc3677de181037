"""What balancekit costs beside the code that one would write, or the library that one would take, for the same duty."""

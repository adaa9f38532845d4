"""History import: the door for archives, which a command holds open: lines → chunks → known ids → log."""

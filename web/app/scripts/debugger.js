/* Calls as they land; loaded by the debugger. */

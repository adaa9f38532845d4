/* Charts of figures over time; loaded by the pages that have one. */

/* The builder of definitions: conditions beside their text; loaded by the pages that have it. */

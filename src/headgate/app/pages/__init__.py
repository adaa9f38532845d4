"""The pages: each module lists its addresses in ROUTES; `web.py` lists the modules."""

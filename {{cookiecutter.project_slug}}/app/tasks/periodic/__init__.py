"""Tasks that the clock starts; `config/schedule.py` says when."""

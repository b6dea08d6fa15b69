"""The team's policies: how tasks retry, how fast they may go, what is logged of them."""

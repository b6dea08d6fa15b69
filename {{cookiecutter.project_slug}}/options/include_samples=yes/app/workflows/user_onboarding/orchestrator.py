"""The order of the steps."""

from celery import chain

from app.workflows.user_onboarding.send_welcome import send_welcome
from app.workflows.user_onboarding.setup_defaults import setup_defaults


def start(user_id: int) -> str:
    """Start the onboarding of a user, in the transaction that creates the user.

    A step that fails for good ends the chain: nobody is welcomed to an account that is
    not set up. Starting it again repeats nothing that is done.

    Returns:
        The id of the last step's task.
    """
    # si: each step looks its user up and takes nothing from the one before.
    steps = chain(setup_defaults.si(user_id), send_welcome.si(user_id))
    return steps.apply_async().id

"""The rules of the contract. A new rule is a module here and a line in `RULES`."""

from tools.contract.finding import Rule
from tools.contract.rules.environment import environment_agrees
from tools.contract.rules.jinja import no_jinja_left
from tools.contract.rules.length import no_long_file
from tools.contract.rules.parsing import every_python_file_parses
from tools.contract.rules.task_declarations import every_task_is_explicit
from tools.contract.rules.task_limits import every_task_fits_its_queue
from tools.contract.rules.task_tests import every_task_is_tested
from tools.contract.rules.workers import every_queue_has_a_worker

RULES: tuple[Rule, ...] = (
    no_jinja_left,
    no_long_file,
    every_python_file_parses,
    environment_agrees,
    every_queue_has_a_worker,
    every_task_is_explicit,
    every_task_fits_its_queue,
    every_task_is_tested,
)

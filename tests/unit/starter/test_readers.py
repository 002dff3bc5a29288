"""The project in examples/readers: its agents load, and fit the rows of the benchmarks they are made for."""

import subprocess
import sys

from .conftest import ROOT

PROGRAM = """
from shoal.agents.row import fit_expected
from shoal.agents.validation import failed_checks, parse_output
from shoal.core.errors import OutputInvalid
from shoal.project import open_project

agents = {agent.name: agent for agent in open_project().agents}
assert set(agents) == {"flight-reader", "passage-answerer", "pii-spotter", "receipt-reader"}
receipt, flight = agents["receipt-reader"], agents["flight-reader"]
text = "CAFE LUX\\n1 HIGH ST,\\nLEEDS\\n03/04/2018\\nTOTAL RM\\n12.50"
fields = {"company": "CAFE LUX", "date": "03/04/2018", "address": "1 HIGH ST, LEEDS", "total": "12.50"}
right = fit_expected(receipt, fields)
assert list(right) == list(fields)
assert fit_expected(receipt, {"company": "CAFE LUX"})["total"] is None
assert failed_checks(receipt, text, receipt.output(**right)) == ()
assert failed_checks(receipt, text, receipt.output(**{**right, "total": "12.05"})) == ("copies_the_receipt",)
wrong = receipt.output(**{**right, "address": "BOND ROW YORK"})
assert failed_checks(receipt, text, wrong) == ("copies_the_receipt",)
answer = '{"intent": "atis_flight", "slots": {"toloc.city_name": ["boston"]}}'
assert parse_output(flight, answer, "flights to Boston").slots == {"toloc.city_name": ["Boston"]}
try:
    parse_output(flight, answer, "flights to Dallas")
except OutputInvalid:
    pass
else:
    raise AssertionError("a city that nobody named")
"""


def test_readers_load_and_notice_what_the_text_does_not_say() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT / "examples/readers",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

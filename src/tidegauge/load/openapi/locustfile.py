"""What Locust loads for --openapi: users made of the document that TIDEGAUGE_OPENAPI names."""

import os

from tidegauge.errors import TidegaugeError
from tidegauge.load.openapi.document import DOCUMENT, host_of, read_document
from tidegauge.load.openapi.users import users_from

source = os.environ.get(DOCUMENT, "")
try:
    document = read_document(source)
    # By their names alone: Locust takes a second name of a class for a second class.
    globals().update({each.__name__: each for each in users_from(document, host_of(document, source))})
except TidegaugeError as error:
    raise SystemExit(str(error)) from error

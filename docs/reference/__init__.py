"""The reference pages, each made of the code that it is about: ``python -m docs.reference`` (``make docs``)."""

"""The command line. A command is ``command`` in the module of its name, loaded when it is used.

To add one, write a module here and a line in ``main.COMMANDS``. A command imports the library and
extras inside its function, so that ``--help`` is fast and works without extras.
"""

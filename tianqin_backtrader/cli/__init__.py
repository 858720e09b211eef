"""The command line. A command is ``command`` of the module of its name, loaded when it is used.

To add one: a module here, and a line in ``main.COMMANDS``. What a command needs of the library or
of an extra it imports inside, so that help is there at once and without extras.
"""

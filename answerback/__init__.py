"""The front door: one command, `answerback`, with a sub-command for each person who uses the system.

Read `cli` for what is offered; each command stands in a module of `commands` behind its `doors`, and only parses, calls
a room, and prints. `making` is what every `init` asks, `failure` how a command says what is wrong and what to do,
`output` how it prints for people or programs.
"""

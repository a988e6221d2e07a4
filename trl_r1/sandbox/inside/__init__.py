"""
What runs inside a jail. Started there by file, with the standard library alone: nothing here may import `trl_r1`.

[`fork_server`] keeps a warm interpreter and forks a process per test, confined before it sees a line of the program under
test; [`programs`] is what that process then does; [`test_runner`] how a test script calls a program in another jail; [`values`] how a value is written so that it can be read outside
without trusting it; [`prelude`] the names that LeetCode's solutions and tests take for granted.
"""

"""The program of process 1, as far as it comes without rights: the whole of it runs in e2e/first-process.test.ts."""

from __future__ import annotations

import os
import tempfile
import unittest

from thaw_shim.first_process import first_program


class FirstProcess(unittest.TestCase):
    def test_ends_with_the_number_of_the_step_that_fails(self) -> None:
        program = first_program(os.uname().machine, 65534, "/", True)
        if program is None:
            self.skipTest("there is no program for %s" % os.uname().machine)
        with tempfile.TemporaryDirectory() as directory:
            file = os.path.join(directory, "first")
            with open(file, "wb", opener=lambda path, flags: os.open(path, flags, 0o700)) as out:
                out.write(program)
            # It has been given no group to enter, which is its second step.
            pid = os.posix_spawn(file, ["first"], {})
            self.assertEqual(os.WEXITSTATUS(os.waitpid(pid, 0)[1]), 2)

    def test_is_there_for_known_machines_only(self) -> None:
        self.assertIsNone(first_program("pdp11", 65534, "/", True))


if __name__ == "__main__":
    unittest.main()

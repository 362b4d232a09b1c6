from __future__ import annotations

import torch

from dyncompile.training import one_thread


def test_threads_are_put_back() -> None:
    with one_thread():
        torch.set_num_threads(2)
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2

"""What every method of every task keeps to: its file, its settings, its inputs, its weights, its training.

The checks themselves are in `spinecho.methods.contract`, where methods of other packages are checked by them too.
"""

from __future__ import annotations

from inspect import signature

import pytest

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.method import Method
from spinecho.methods import contract, registry
from spinecho.methods.card import check_card
from spinecho.methods.pretrained import built

EVERY = [(task, name) for task in registry.tasks() for name in registry.names(task)]
OFFERED = [(task, offer.name) for task in registry.tasks() for offer in registry.offers(task) if offer.is_ready]
LEARNED = registry.learned()
every = pytest.mark.parametrize(("task", "name"), EVERY, ids=lambda v: v)
offered = pytest.mark.parametrize(("task", "name"), OFFERED, ids=lambda v: v)
learned = pytest.mark.parametrize(("task", "name"), LEARNED, ids=lambda v: v)


@pytest.mark.parametrize("task", registry.tasks())
def test_a_task_says_what_it_is(task):
    module = registry.task_named(task)
    assert module.WHAT and module.DEFAULT in registry.names(task) and issubclass(module.base(), Method)
    assert (module.__doc__ or "").partition("\n")[0].endswith(".") and contract.scenes(task)
    check_card({}, module.limits())
    assert signature(getattr(spinecho, task)).parameters["method"].default == module.DEFAULT


@every
def test_a_file_has_its_parts(task, name):
    contract.parts(task, name)
    text = (registry.TASKS / task / "methods" / f"{name}.py").read_text()
    assert text.startswith('"""')


@offered
def test_unknown_settings_and_words_are_refused(task, name):
    contract.words(task, name)


@offered
def test_what_it_refuses_it_says_in_a_sentence(task, name):
    contract.refusals(task, name)


@offered
def test_the_same_again_is_the_same_and_inputs_stay(task, name):
    try:
        contract.repeats(task, name)
    except contract.NotHere as error:
        pytest.skip(str(error))


@learned
def test_without_weights_it_says_how_they_are_trained(task, name):
    if registry.offer(task, name).weights is None:
        with pytest.raises(DataError, match=rf"no trained weights.*spinecho train {task}/{name}"):
            built(task, name, {})


@learned
def test_weights_go_out_and_come_back(task, name):
    contract.weights(task, name)


@learned
def test_steps_of_training_lower_the_loss(task, name):
    contract.training(task, name)

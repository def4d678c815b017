"""Problems and the places where they are."""

from contracts.problems import Code, Problem


def test_a_place_is_put_in_front_of_the_one_that_is_known() -> None:
    problem = Problem(code=Code.FILE_DAMAGED, message="is cut short")
    assert str(problem) == "is cut short"
    assert str(problem.within("line 3")) == "line 3: is cut short"
    assert str(problem.within("line 3").within("model.arpa")) == "model.arpa: line 3: is cut short"

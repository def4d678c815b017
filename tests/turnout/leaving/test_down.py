"""`turnout down` deletes all of one deployment and nothing of another, and says what it could not delete."""

import json
from pathlib import Path

import pytest

from tests.turnout.leaving.conftest import ASSETS, BUCKET, REGION, Account, gpu, table

pytestmark = pytest.mark.system


def of(deployment: str) -> tuple[str, ...]:
    return ("--deployment", deployment, "--region", REGION)


def down(account: Account, deployment: str, *words: str) -> tuple[int, dict[str, object]]:
    done = account.run("down", *of(deployment), "--yes", "--json", *words)
    return done.exit_code, json.loads(done.stdout)


def test_a_deployment_whose_name_begins_alike_is_never_touched(account: Account) -> None:
    s3 = account.aws.client("s3")
    for name, tag in (("alike-router", "alike"), ("alike-eu-router", "alike-eu")):
        assert account.stack(name, tag, Table=table(name)) == "CREATE_COMPLETE"
        account.endpoint(f"{tag}-m-gpu-g6-xl", tag)
        account.image(f"turnout-{tag}_{'0' * 64}")
        s3.put_object(Bucket=BUCKET, Key=f"turnout/{tag}/template.json", Body=b"{}")
    # Of what a name alone says, these two could be ours.
    account.stack("alike-old-cpu", "another", Table=table("alike-old-cpu"))
    account.stack("alike-own-cpu", "", Table=table("alike-own-cpu"))
    code, done = down(account, "alike")
    assert (code, done["problems"]) == (0, [])
    assert account.stacks() >= {"alike-eu-router", "alike-old-cpu", "alike-own-cpu"}
    assert "alike-router" not in account.stacks()
    assert {name for name in account.endpoints() if name.startswith("alike")} == {
        "alike-eu-m-gpu-g6-xl"
    }
    assert {tag for tag in account.images() if "alike" in tag} == {f"turnout-alike-eu_{'0' * 64}"}
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert [key for key in keys if "alike" in key] == ["turnout/alike-eu/template.json"]
    sagemaker = account.aws.client("sagemaker")
    configs = sagemaker.list_endpoint_configs()["EndpointConfigs"]
    models = sagemaker.list_models()["Models"]
    assert [one["EndpointConfigName"] for one in configs] == ["alike-eu-m-gpu-g6-xl-c"]
    assert [one["ModelName"] for one in models] == ["alike-eu-m-gpu-g6-xl-model"]


def test_a_half_failed_deployment_goes_whole(account: Account) -> None:
    account.stack("half-router", "half", Table=table("half-router"))
    unknown = {"Type": "AWS::EC2::Nonsense", "Properties": {}}
    assert account.stack("half-m-cpu", "half", Other=unknown) == "ROLLBACK_COMPLETE"
    account.stack("half-m-gpu", "half", **gpu("half-m-gpu-g6-xl", "half"))
    # Pushed for a stack that was never begun.
    account.image(f"turnout-half_{'1' * 64}")
    # The first change set was made, and the command line was ended before it ran.
    account.aws.client("cloudformation").create_change_set(
        StackName="half-n-cpu",
        ChangeSetName="one",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": {"Table": table("half-n-cpu")}}),
        Tags=[{"Key": "turnout", "Value": "half"}],
    )
    done = account.run("down", *of("half"), "--yes")
    assert done.exit_code == 0, done.output
    assert "nothing of half in us-east-1, account 123456789012 is left." in done.stdout
    assert not any(name.startswith("half") for name in account.stacks() | account.endpoints())
    assert not any("half" in tag for tag in account.images())
    # GPUs are deleted first, and the router last.
    order = [line.split(":")[0].strip() for line in done.stderr.splitlines() if ": deleted" in line]
    assert order[0] == "half-m-gpu"
    assert order[-1] == "half-router"


def test_what_cannot_be_deleted_is_named_and_the_next_run_goes_on(account: Account) -> None:
    function = account.aws.function("stuck-function", "custom")
    token = f"arn:aws:lambda:{REGION}:123456789012:function:{function}"
    asks = {"Type": "Custom::Thing", "Properties": {"ServiceToken": token}}
    resources = {"Table": table("stuck-m-cpu"), "Asks": {**asks, "DependsOn": "Table"}}
    assert account.stack("stuck-m-cpu", "stuck", **resources) == "CREATE_COMPLETE"
    # Its deletion asks a function that is gone, as somebody else's resource in a stack may.
    account.aws.client("lambda").delete_function(FunctionName=function)
    account.stack("stuck-n-cpu", "stuck", Table=table("stuck-n-cpu"))
    account.stack("stuck-router", "stuck", Table=table("stuck-router"))
    account.image(f"turnout-stuck_{'2' * 64}")
    done = account.run("down", *of("stuck"), "--yes", "--json")
    assert done.exit_code == 1
    # All others are deleted. What it may run is left.
    assert {name for name in account.stacks() if name.startswith("stuck")} == {"stuck-m-cpu"}
    assert f"turnout-stuck_{'2' * 64}" in account.images()
    problems = json.loads(done.stdout)["problems"]
    assert problems[0].startswith("stuck-m-cpu: DELETE_FAILED: Custom::Thing Asks:")
    assert problems[1] == "1 images and files were left: stacks may need them"
    assert "stack stuck-m-cpu (DELETE_FAILED) is still there" in str(done.exception)
    account.aws.function(function, "custom")
    code, again = down(account, "stuck")
    assert (code, again["problems"]) == (0, [])
    assert not any(name.startswith("stuck") for name in account.stacks())


@pytest.mark.parametrize("typed", ["n\n", "", "never\n"], ids=["no", "nothing", "a word"])
def test_without_a_yes_nothing_is_deleted(account: Account, typed: str) -> None:
    if "asked-router" not in account.stacks():
        account.stack("asked-router", "asked", Table=table("asked-router"))
        account.image(f"turnout-asked_{'3' * 64}")
    done = account.run("down", *of("asked"), typed=typed)
    assert done.exit_code == 1
    assert "stack asked-router (CREATE_COMPLETE)" in done.stderr
    assert f"image {ASSETS}:turnout-asked_{'3' * 12}… (" in done.stderr
    assert done.stderr.rstrip().endswith("nothing was deleted")
    assert "asked-router" in account.stacks()
    assert f"turnout-asked_{'3' * 64}" in account.images()


def test_a_yes_deletes(account: Account) -> None:
    account.stack("agreed-router", "agreed", Table=table("agreed-router"))
    done = account.run("down", *of("agreed"), typed="y\n")
    assert done.exit_code == 0
    assert "agreed-router" not in account.stacks()


def test_a_stack_that_is_being_updated_is_refused_with_aws_own_words(account: Account) -> None:
    from moto.cloudformation.models import cloudformation_backends

    account.stack("busy-m-cpu", "busy", Table=table("busy-m-cpu"))
    backend = cloudformation_backends["123456789012"][REGION]
    [stack] = [one for one in backend.stacks.values() if one.name == "busy-m-cpu"]
    stack.status = "UPDATE_IN_PROGRESS"
    done = account.run("down", *of("busy"), "--yes", "--json")
    assert done.exit_code == 1
    [problem] = json.loads(done.stdout)["problems"]
    assert "cannot be deleted while in status UPDATE_IN_PROGRESS" in problem
    # An image may be one that the update is about to run.
    refused = account.run("orphans", *of("busy"), "--delete", "--yes")
    assert "busy-m-cpu: AWS is changing them" in str(refused.exception)
    stack.status = "UPDATE_COMPLETE"
    assert down(account, "busy")[0] == 0


def test_more_images_and_files_than_a_call_takes_all_go(account: Account) -> None:
    for number in range(120):
        account.image(f"turnout-many_{number:064x}")
    s3 = account.aws.client("s3")
    for number in range(3):
        s3.put_object(Bucket=BUCKET, Key=f"turnout/many/{number}", Body=b"")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    # A version more, and the marker of a deletion, which the bucket both keeps.
    s3.put_object(Bucket=BUCKET, Key="turnout/many/0", Body=b"another")
    s3.delete_object(Bucket=BUCKET, Key="turnout/many/1")
    code, done = down(account, "many")
    assert (code, done["problems"]) == (0, [])
    assert not any("many" in tag for tag in account.images())
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix="turnout/many/")
    assert not {"Versions", "DeleteMarkers"} & versions.keys()


def test_pushed_images_are_found_by_the_templates_of_stacks_that_are_gone(
    account: Account, tmp_path: Path
) -> None:
    """The machine that pushed them, with its record, is another one."""
    ecr = account.aws.client("ecr")
    repository = "team/push-m-cpu"
    ecr.create_repository(repositoryName=repository)
    account.image("first", repository)
    [image] = ecr.describe_images(repositoryName=repository)["imageDetails"]
    digest = image["imageDigest"]
    [stored] = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])[
        "images"
    ]
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    own_tag = digest.removeprefix("sha256:")[:12]
    ecr.put_image(
        repositoryName=repository, imageTag=own_tag, imageManifest=stored["imageManifest"]
    )
    account.image("of-the-user", repository)
    named = table("push-m-cpu") | {"Metadata": {"of": f"123.dkr/{repository}@{digest}"}}
    account.stack("push-m-cpu", "push", Table=named)
    assert account.aws.delete("push-m-cpu") == "DELETE_COMPLETE"
    code, done = down(account, "push")
    assert (code, done["problems"]) == (0, [])
    assert account.images(repository) == {"of-the-user"}


def test_where_there_is_nothing_that_is_said(account: Account) -> None:
    done = account.run("down", *of("nothing"))
    assert done.exit_code == 0
    assert done.stdout == "nothing of nothing in us-east-1, account 123456789012 is there\n"


def test_the_bucket_of_weights_is_emptied_before_its_stack_goes(account: Account) -> None:
    s3, name = account.aws.client("s3"), f"heavy-weights-123456789012-{REGION}"
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}}
    assert account.stack("heavy-weights", "heavy", Bucket=bucket) == "CREATE_COMPLETE"
    s3.put_object(Bucket=name, Key="ab12/model.safetensors", Body=b"weights")
    s3.put_object(Bucket=name, Key="markers/ab12.json", Body=b"{}")
    code, done = down(account, "heavy")
    assert (code, done["problems"]) == (0, [])
    assert "heavy-weights" not in account.stacks()
    assert name not in {one["Name"] for one in s3.list_buckets()["Buckets"]}

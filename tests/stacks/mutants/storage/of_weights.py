"""Faults of weights in S3."""

from stacks.rules.document import Document, Json
from stacks.rules.weights import BUCKET, MARKER, PARALLEL
from tests.stacks.mutants.mutation import (
    CHAT,
    WEIGHTS,
    Mutation,
    first,
    lint,
    model,
    nag,
    ours,
    resource,
    statement,
    variant,
)

MODEL = "AWS::SageMaker::Model"


def _source(stack: Document) -> Json:
    found: Json = first(stack, MODEL)["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]
    return found


def uploads_for_ever(stack: Document) -> None:
    del first(stack, BUCKET)["LifecycleConfiguration"]


def bucket_without_encrypted_transport(stack: Document) -> None:
    del stack.template["Resources"][
        next(name for name, one in stack.all.items() if one["Type"] == "AWS::S3::BucketPolicy")
    ]


def bucket_kept(stack: Document) -> None:
    resource(stack, BUCKET)["DeletionPolicy"] = "Retain"


def weights_without_slash(stack: Document) -> None:
    _source(stack)["S3Uri"] = _source(stack)["S3Uri"].removesuffix("/")


def weights_in_an_archive(stack: Document) -> None:
    _source(stack)["CompressionType"] = "Gzip"


def weights_of_no_kind(stack: Document) -> None:
    _source(stack)["S3DataType"] = "S3Folder"


def model_before_its_weights(stack: Document) -> None:
    found = resource(stack, MODEL)
    marker = next(name for name, one in stack.all.items() if one["Type"] == MARKER)
    found["DependsOn"] = [name for name in found["DependsOn"] if name != marker]


def weights_of_another_digest(stack: Document) -> None:
    statement(stack, "s3:GetObject")["Resource"] = "arn:aws:s3:::bucket/another/*"


def weights_not_listed(stack: Document) -> None:
    statement(stack, "s3:ListBucket")["Action"] = "s3:GetBucketLocation"


def one_accelerator_for_four(stack: Document) -> None:
    first(stack, MODEL)["PrimaryContainer"]["Environment"][PARALLEL] = "8"


def ami_of_an_older_cuda_than_vllm(stack: Document) -> None:
    variant(stack)["InferenceAmiVersion"] = "al2-ami-sagemaker-inference-gpu-3-1"


CREATE_MODEL = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html"
ROLES = "https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"
SOURCE = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3ModelDataSource.html"
MUTATIONS = (
    Mutation(
        spoil=uploads_for_ever,
        stack=WEIGHTS,
        account="the parts of a push that was cut off are paid for, and nothing shows them",
        source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html",
        caught_by=(ours("uploads_end"),),
    ),
    Mutation(
        spoil=bucket_without_encrypted_transport,
        stack=WEIGHTS,
        account="weights can be asked for over plain HTTP",
        source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html",
        caught_by=(nag("AwsSolutions-S10"),),
    ),
    Mutation(
        spoil=bucket_kept,
        stack=WEIGHTS,
        account="the bucket stays when its stack goes, is paid for, and its name is taken",
        source="https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html",
        caught_by=(ours("kept_after_stack"),),
    ),
    Mutation(
        spoil=weights_without_slash,
        stack=CHAT,
        account="the model is refused: no model data is found under a key of that name",
        source=SOURCE,
        caught_by=(ours("weights_as_files"), ours("weights_readable")),
    ),
    Mutation(
        spoil=weights_in_an_archive,
        stack=CHAT,
        account="the model is refused: a prefix is no archive",
        source=f"{SOURCE}#sagemaker-Type-S3ModelDataSource-CompressionType",
        caught_by=(ours("weights_as_files"),),
    ),
    Mutation(
        spoil=weights_of_no_kind,
        stack=CHAT,
        account="the model is refused when it is created",
        source=f"{SOURCE}#sagemaker-Type-S3ModelDataSource-S3DataType",
        caught_by=(ours("weights_as_files"), lint("E3030"), model("enum")),
    ),
    Mutation(
        spoil=model_before_its_weights,
        stack=CHAT,
        account="weights that were never pushed are missed only while an instance is paid for",
        source=CREATE_MODEL,
        caught_by=(ours("weights_awaited"),),
    ),
    Mutation(
        spoil=weights_of_another_digest,
        stack=CHAT,
        account="the model is refused: its role may not read the weights",
        source=f"{ROLES}#sagemaker-roles-createmodel-perms",
        # What ends with a star is acknowledged for these weights alone.
        caught_by=(ours("weights_readable"), nag("AwsSolutions-IAM5")),
    ),
    Mutation(
        spoil=weights_not_listed,
        stack=CHAT,
        account="the model is refused: its role may not list the weights",
        source=f"{ROLES}#sagemaker-roles-createendpoint-perms",
        caught_by=(ours("weights_readable"),),
    ),
    Mutation(
        spoil=one_accelerator_for_four,
        stack=CHAT,
        account="vLLM ends at its start, and the stack is rolled back after an hour",
        source="https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html",
        caught_by=(ours("accelerators_of_vllm"),),
    ),
    Mutation(
        spoil=ami_of_an_older_cuda_than_vllm,
        stack=CHAT,
        account="vLLM finds no driver for its CUDA, and the stack is rolled back after an hour",
        source="https://aws.github.io/deep-learning-containers/vllm/changelog/",
        caught_by=(ours("ami_fits_cuda"),),
    ),
)

"""AWS's container of vLLM by its digest: a tag may name another image tomorrow than the one that was verified."""

from stacks.images import llm_image
from stacks.weights.container import Container
from turnout.deployed.clients import Client, refusal

# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-manifest-formats.html
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


def container_in(region: str, ecr: Client) -> tuple[Container, str]:
    """Return the container with the digest that its tag has now, and why it has none where AWS does not say."""
    from botocore.exceptions import BotoCoreError, ClientError

    image = llm_image(region)
    try:
        # A pull asks the same, so that AWS's repositories answer it to every account.
        found = ecr.batch_get_image(
            registryId=image.account,
            repositoryName=image.repository,
            imageIds=[{"imageTag": image.tag}],
            acceptedMediaTypes=list(MANIFESTS),
        )
        digests = [str(one["imageId"]["imageDigest"]) for one in found["images"]]
        refused = ", ".join(str(one.get("failureReason")) for one in found["failures"])
    except (BotoCoreError, ClientError) as error:
        digests, refused = [], refusal(error)[0]
    if len(digests) != 1:
        return Container(region=region, tag=image.tag), refused or "there is no image of this tag"
    return Container(region=region, tag=image.tag, digest=digests[0]), ""

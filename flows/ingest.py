"""ingest: logs of production requests, from files into the store."""

from prefect import flow

from tasks.forms import Name, Names, parameter
from tasks.ingest.formats import adaptation
from tasks.ingest.ingesting import requests_of, told
from tasks.ingest.steps import ingest_one


@flow(name="ingest", description="Take in logs of production requests; bad rows wait in quarantine.")
async def ingest(
    files: Names = parameter("Files", "Where the logs are, seen from the worker.", examples=[["requests.jsonl"]]),
    format: Name = parameter("Format", "What wrote them; assay is our own.", "assay", examples=["assay", "litellm"]),
    source: str = parameter("Source", "Whose ids these are. Empty: the format's name.", "", examples=["gateway"]),
    fields: Names = parameter("Fields", "Ours=theirs, where names differ.", [], examples=[["at=TIMESTAMP"]]),
    given: Names = parameter("Given", "Field=value of rows that have none.", [], examples=[["feature=chat"]]),
    ignored: Names = parameter("Ignored", "Fields of theirs to leave out.", [], examples=[["debug"]]),
    sample_data: bool = parameter("Sample data", "The traffic is made up; reports say so.", False),
) -> list[str]:
    """Land every row that can, file by file. Gives a sentence for each; a file that was read before lands once."""
    how = adaptation(fields, given, ignored)
    wanted = requests_of(files, format, source, how, sample_data=sample_data)
    return [told(await ingest_one(each)) for each in wanted]

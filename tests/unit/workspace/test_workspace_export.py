"""Export: a document as text that reads back as the same document."""

from hypothesis import given
from workspace_samples import CATALOG, destination, document, documents, parsed, source, unhurried

from headgate.workspace.document import empty
from headgate.workspace.export import export
from headgate.workspace.model import Document


@unhurried
@given(documents())
def test_what_is_exported_reads_back_as_the_same(written: Document) -> None:
    """parse(export(document)) == document, and exporting that again gives the same text."""
    text = export(written, CATALOG)
    again = parsed(text)
    assert again == written
    assert export(again, CATALOG) == text


def test_an_export_is_readable() -> None:
    """Keys in the documented order, lists of texts on one line, defaults and secrets left out."""
    written = document(
        sources=[source(name="Website")],
        destinations=[
            destination(
                deletionApiKey="${KEY}",
                region="US",
                junkIdentities=["no body", "${KEY}"],
                limits={"eventsPerMinute": 100},
            )
        ],
        retention={"days": 30},
        engage={
            "audiences": [{"definition": "event('d: 1').count() = 1", "name": "A", "wait": False}]
        },
    )
    assert (
        export(written, CATALOG)
        == """\
sources:
  - slug: website
    name: Website
    type: website
    enabled: true
    writeKeys: [wk_website]
destinations:
  - slug: heap-production
    name: heap-production
    metadataId: heap
    sourceId: website
    enabled: true
    connectionMode: cloud
    settings:
      appId: '1535634150'
      junkIdentities: [no body, '${KEY}']
      limits:
        eventsPerMinute: 100
      deletionApiKey: ${KEY}
engage:
  audiences:
    - name: A
      definition: 'event(''d: 1'').count() = 1'
"""
    )


def test_an_empty_workspace_exports_empty_lists() -> None:
    """There is something to fill in."""
    assert export(empty(), CATALOG) == "sources: []\ndestinations: []\n"

"""RSS 2.0: the newest projects, the newest releases, the releases of one project."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from feedgenerator import Rss201rev2Feed

from koschey.standards.xml_text import clean_xml


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a feed."""

    title: str
    link: str
    description: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RssFeed:
    """A feed. Its items keep the given order."""

    title: str
    link: str
    description: str
    items: Iterable[Item]


def render_feed(feed: RssFeed) -> bytes:
    """Render a feed. Characters that XML cannot contain are removed from titles and descriptions."""
    rss = Rss201rev2Feed(
        title=clean_xml(feed.title), link=feed.link, description=clean_xml(feed.description), language="en"
    )
    for item in feed.items:
        rss.add_item(
            title=clean_xml(item.title),
            link=item.link,
            description=clean_xml(item.description),
            pubdate=item.at.astimezone(UTC),
            unique_id=item.link,
        )
    text: str = rss.writeString("utf-8")
    return text.encode()

"""Where a log's files go: to a folder that any web server can serve, or to S3."""

from transparency.server.publishing.file_publisher import FilePublisher
from transparency.server.publishing.publisher import Delivery, Publisher, delivery_of, is_segment

__all__ = ["Delivery", "FilePublisher", "Publisher", "delivery_of", "is_segment"]

"""The small picture of an alert's mail."""

import pytest

from restar_lib.monitoring.alerts.alert_log import ColumnShape
from restar_lib.monitoring.alerts.chart import draw


@pytest.mark.parametrize("label", ["Gifts $5_$", "$$", "$10% off$", "Deals $^$ x", "Küche & Haushalt, groß und klein"])
def test_a_category_may_be_called_anything(label: str) -> None:
    """Labels come from the source: none is read as mathematics, and each ends in a PNG."""
    shape = ColumnShape(name="product_category", labels=(label, "Toys"), before=(0.5, 0.5), now=(0.1, 0.9))
    assert draw([shape]).startswith(b"\x89PNG")

"""Default models of the doors, one file each, standing alone on torch: exporters copy them by their source."""

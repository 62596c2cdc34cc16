"""What all pages share: templates, plots as SVG.

In: values and the name of a template. Out: HTML that loads nothing from anywhere. It measures nothing.
"""

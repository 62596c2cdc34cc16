"""The criteria of the gate, each a pure function from measurements to one line of the verdict (DESIGN section 8).

In: what `gate.judge` measured, and section `gate` of the settings. Out: lines. Nothing is measured or stored here.
"""

"""What serves, as files and rows: the sealed model folder, the pointer that serving follows, the release log.

In: a complete work folder, or a version's name. Out: a sealed folder that is whole, a loaded engine that has answered
its probe, the champion. It trains and judges nothing; who becomes champion is decided above (`releases`).
"""

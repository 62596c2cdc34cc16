"""Confident learning: how much each given label is to be doubted (Northcutt, Jiang and Chuang 2021, `cleanlab`).

In: features and given labels. Out: a doubt for each row, and the labels that a training doubts most. It asks nobody
(`label_audit` does) and corrects nothing.
"""

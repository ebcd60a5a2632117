"""The course: one source a lab, student notebooks made from it, and checks that name the likely
mistake.

``source`` turns the text of a lab into notebooks, ``notebooks`` writes them, ``check`` and
``expect`` grade answers, ``execute`` runs a notebook's cells, ``measure`` times a lab.
"""

"""Words and links of an upload or a comment: what is in them, and what may be shown of them.

`looking` is pure and linear in the length of the text; what needs the network (where a short link leads, what others
say of an address) is fetched before by `examining`. Pictures belong to `mediagate.imaging`, verdicts to
`mediagate.moderation`.
"""

"""Side effects: the steps that workflows call, one verb each, every one of them safe to run twice.

The modules are light (workflow files import them): the heavy parts reach them through `Deps`. What happens next is
decided in `workflows`, never here.
"""

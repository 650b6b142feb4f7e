"""A job that does nothing, for the workers of rq."""


def noop(body):
    return None

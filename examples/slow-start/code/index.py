import time


def initializer(context):
    time.sleep(5)


def handler(event, context):
    time.sleep(2)
    return ''

import json


def handler(event, context):
    evt = json.loads(event)
    result = 'hello %s' % evt.get('name', 'world')
    return result

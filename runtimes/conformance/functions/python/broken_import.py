import thaw_no_such_package


def handler(event, context):
    return thaw_no_such_package.name

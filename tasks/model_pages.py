def model_facts_as_json(found):
    return {}

"""The things that features describe."""

from feast import Entity, ValueType

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="who acts")
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING, description="what is acted on")
segment = Entity(
    name="segment",
    join_keys=["segment"],
    value_type=ValueType.STRING,
    description="a label that users share, age:25-34",
)

ENTITIES = {entity.join_key: entity for entity in (user, item, segment)}

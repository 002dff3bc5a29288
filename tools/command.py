"""Commands to a music player, a booking desk or a weather service: what an answer may say, and its checks."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shoal import Verbatim

__all__ = ["Command", "Intent", "has_slots_of_its_intent"]

Intent = Literal[
    "AddToPlaylist",
    "BookRestaurant",
    "GetWeather",
    "PlayMusic",
    "RateBook",
    "SearchCreativeWork",
    "SearchScreeningEvent",
]
SLOTS: dict[Intent, str] = {
    "AddToPlaylist": "entity_name playlist artist playlist_owner music_item",
    "BookRestaurant": "party_size_number state restaurant_type timeRange city party_size_description sort"
    " served_dish spatial_relation poi restaurant_name country cuisine facility",
    "GetWeather": "city state timeRange geographic_poi spatial_relation current_location country"
    " condition_temperature condition_description",
    "PlayMusic": "artist album service music_item track year sort playlist genre",
    "RateBook": "object_select object_type rating_value best_rating object_part_of_series_type rating_unit"
    " object_name",
    "SearchCreativeWork": "object_type object_name",
    "SearchScreeningEvent": "movie_name object_type movie_type spatial_relation object_location_type"
    " location_name timeRange",
}
"""Names of the slots that each intent can have, those of the SNIPS benchmark (Coucke et al. 2018)."""


class Command(BaseModel):
    model_config = ConfigDict(frozen=True)

    intent: Intent
    slots: dict[str, list[Verbatim]]
    """Name to values, names and values in the order of the text."""


def has_slots_of_its_intent(_text: str, command: Command) -> bool:
    return set(command.slots) <= set(SLOTS[command.intent].split()) and all(command.slots.values())

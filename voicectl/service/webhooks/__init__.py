"""Tells other systems what happens in calls: signed, durable, never on the path of the audio."""

"""Records what happens in calls: off the audio path, into the database or a spill file."""

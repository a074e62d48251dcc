"""The OpenAI Realtime wire: client JSON to caller actions, call events to server JSON."""

"""Kafka, Valkey, the simulator and the workers as supervised child processes of one command."""

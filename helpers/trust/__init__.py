"""Trustworthiness over pre-training: probes, steering vectors and mutual information (arXiv 2402.19465)."""

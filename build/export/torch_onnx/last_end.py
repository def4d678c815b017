"""Classifiers with an encoder and a decoder, which read the state of a text's last end token: BART and its kin.

transformers takes the states of all end tokens by a mask, for which the texts of a batch need the same number of them.
Here each text has its own last one, so that a pair, which has two or three, may run beside a single text.
"""

from typing import Any

import torch


class _LastEnd(torch.nn.Module):  # type: ignore[misc]
    """A classifier as a function of tokens and their mask; the decoder reads the same text, one place behind."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, return_dict: bool = True
    ) -> Any:
        """Return the logits [batch, labels], by name or as a tuple."""
        start = torch.full_like(input_ids[:, :1], self.config.decoder_start_token_id)
        read = {"input_ids": input_ids, "attention_mask": attention_mask}
        shifted = torch.cat((start, input_ids[:, :-1]), dim=1)
        states = self.model.base_model(**read, decoder_input_ids=shifted, use_cache=False)[0]
        ends = (input_ids == self.config.eos_token_id).to(torch.int64)
        last = (ends * torch.arange(input_ids.shape[1])).amax(dim=1)
        found = states.gather(1, last[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]
        logits = self.model.classification_head(found)
        return {"logits": logits} if return_dict else (logits,)


def reading_last_end(model: Any) -> Any:
    """Return the model, or what computes the same of each text where it is a classifier with a decoder."""
    classifies = model.config.is_encoder_decoder and hasattr(model, "classification_head")
    return _LastEnd(model).eval() if classifies else model

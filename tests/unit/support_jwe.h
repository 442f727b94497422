/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys for the tests of JWE alone, and texts that were sealed for them by another implementation (Python's cryptography,
 * with Concat KDF, AES key wrap and OAEP of its own): "the content" each.
 */
#ifndef TESTS_SUPPORT_JWE_H
#define TESTS_SUPPORT_JWE_H

static const char jwe_rsa_pem[] = "-----BEGIN PRIVATE KEY-----\n"
				  "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCZOttf2sYMIecz\n"
				  "2O/XZanOVXgkPoNN9RzNNFdq7cFmaZUJblMv42XKEt99Gn+xCJJcxcSrI+o5uDGh\n"
				  "iIOEQqvvR3SAJwl004uVgBONnavJw4AWdbKMDK5wdBI7bNd18ARAni3/zeizNGbI\n"
				  "XjyYMZkeHRJAStutTfznkUZKlpJmu5T5mOPOjxSzSxcDy1epBRINAAN1mpv5aMoD\n"
				  "RN4FfTiN8xoSCqxFt0Ixy8q2SJCXW8ghkjZkqXT+hdRi/16GfmrX9ENqZWLNGqEC\n"
				  "Qtj/1gm+qsZqq2qPpZ5gKFQrzI1lcvRlu4TrS+AR+G91Xudp5/wrd1yyqGrPldrx\n"
				  "LfG0w4m1AgMBAAECggEAHJjOblI/Ge6N3rBC+rkfesGavXDpQnhXWrjFA9DBgmJ8\n"
				  "DRmI7uwKiC8DhK6YXCrUXfoO3T3DregBYzs+CEYFHpAAXxZp/mKor0sK2ygs8mfJ\n"
				  "FOf8XYTUXWpcKLkEcR9NO94Jia8dGazS7dwghOrkv6j/Sf5uhyaB55nGO49kXUWk\n"
				  "705pZI6beW5HI4Hk0uMG5VjAyCUeWpHuE9cfNkV3FGtEoEnqgInFQdsWQoHHcsB6\n"
				  "mY1ZiZOglWyB1lhndmwBmxY6whcxBfFGKT9pKqPHV9OraoESiATFQ0ZJNmz+39NB\n"
				  "9HqgWVyCnm7ZhTAB7yKHNznOqzpAWBnRDmdnQw5N9QKBgQDMBijF9kxNEDlMIk+j\n"
				  "cp3SPxFexm0PXob55INTEIuCLdy8x2X8AsgW39RHacu/7MKNbWeg+gJ2Qmayruuu\n"
				  "41+E1mZOmXKX3J67n6ota6F5LUxVRC/ULLL066vXjGvcPpPQVkMbOMimfsZe2pOL\n"
				  "8Q6bCX+wJdhiWveM2IUL2sN+iwKBgQDARA4ARU7wk3tFGRg8U+BgzcsEXACknmR3\n"
				  "0cpqjFyTZyztLTQrwytT2Wvc2P4fyxArZyoUVxmQmQ+t9hYeN1xu7lKp5kcOZTTr\n"
				  "NrwzkBVLhtHY5hcu96b4vQ++OXvqi/vXUGfBgC2JQh9Kj2sIcCdBEoqQ4RnicELw\n"
				  "w1EaCtxgvwKBgALVOw+0oc6YIROLjmuIleRrd8RHIRCLkXg60g//NNCz7lK4uhPL\n"
				  "vheDOCFduLSLhxALqtqzXgFiXqawgxlEkvj3OShyPQMazyFv0B8dVXqnRF4Suk9J\n"
				  "55o7A4HUs1K1k7va1sez/CVDsWFzy4Sv7jH86cb6X4zOEo3kG8TUXs6NAoGBAKNH\n"
				  "6IAQXEbxaQm4kx2AuhhcDSLpo14qafZcA0RTabeBMuVFs33K5PvztKe83KxRfqzt\n"
				  "kw3tHnfvlSJO0F/e8i//U9KYDxZJmxR6yoAbyAn5ODO0zFGF3pZ1sW4CUZtSQJGN\n"
				  "5l+tpH5h2kMu414qKRwZS/ZYROxKHH9t0G2GdbvvAoGBAJlRufw2VkfZZ1N1nwEy\n"
				  "bCx+S46TPnaDhzqvA0XObfYBPjAw57Q4N/Ae+/B4DskIPrraFRWvxh+UJue799uP\n"
				  "tosWT+Bp19PlKAaYvSR8x1ormZvkeC9Sqx215/0lsyFiW+gmZss4IJl4iEQJPW7w\n"
				  "9lfmD5N/3ZuIkywHCxoKrI6p\n"
				  "-----END PRIVATE KEY-----\n";

static const char jwe_p256_pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
				   "MHcCAQEEINqbYKCOI0rUy0sZR+J3P3lbUn7Mbi5/tRvlo19Vi0VZoAoGCCqGSM49\n"
				   "AwEHoUQDQgAEKUKSWY62njESP9mlTfWcT2/ueP+FTm3R1oGCD/PfTp/WxlysfQJF\n"
				   "zqktEo17Nl8n6TTe2ZhX7ik+HZmqHSpPaQ==\n"
				   "-----END EC PRIVATE KEY-----\n";

static const char jwe_p384_pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
				   "MIGkAgEBBDDmT9MR9pNi7Vc22vLSoTbHzpeWMqQGUF5VmInO5J4jMkUi+PeR+unJ\n"
				   "h6P6wPgISFegBwYFK4EEACKhZANiAASpemnqLVt+WJKYl/gtaBYbqTiCxU2TcJzk\n"
				   "VLi9G+tZf5FQ12qOuwG7thz3QIQwivQVzKlgk/Kh0htS7NwR8bk9bhSLFJnHpzlZ\n"
				   "715AL4qc7iHDD9Dtj2QC7Ew6qI9evcw=\n"
				   "-----END EC PRIVATE KEY-----\n";

static const char jwe_p521_pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
				   "MIHcAgEBBEIAyDh4finafR0b+3ERWNvrt+VkPVsssPcWSVOHK0AkK/TVAebUKdqv\n"
				   "3DVoN94gcZNrFoMHjQkTAWDu8yGwe5fo6CKgBwYFK4EEACOhgYkDgYYABAF7KpyP\n"
				   "ls0ed9s7TiYGTjbA8hKn72Hf1nIPS7uP6k62JElMv0pjuXCH4dhxKkrRNdb5Qszw\n"
				   "bOKG00Df7nqbgpdPEQCF8BdLm7KlcXYUAttpEQhZCrhmO2KQwj5vkX2lRoK0bfuw\n"
				   "Sb6ZQdDPcMu0c7CdoTRHtUj7rlRsItakSOx5gFvtKQ==\n"
				   "-----END EC PRIVATE KEY-----\n";

static const char jwe_known_many[] =
	"{\"recipients\": [{\"header\": {\"alg\": \"RSA-OAEP\"}, \"encrypted_key\": \"SGfpdd1oRRxqk"
	"XiroLm-e9XaJG-IFHfOnxOjuoVyC3SLiruvBfUyrvgGn0iQvPJNlyR-LkDPq2nj7BQA_RxfTsJ-LHzWxiYrnhXbhpt"
	"OAnpHAnhbgSLqRyrLqpIjEtrdh-HF1Xe4v2uobMN8-p90d_pRQYnp8xtazwC-cN4YwiFUJqp_riQKqpJQKdVD_61Ne"
	"x9BdTOuEAPtXg_A2oGK_k4-mKFJigvWS2_LkS-ix4pm897A_rLrXpAysA8pv4QwOzl88L-LcdRUqNnrKgC_v7hiA-u"
	"4uYMVjIDEu1UYoJkycO-1-pQhTDg9ezos5UkkpJO-VlYyPuPMWnOehN1NFA\"}, {\"header\": {\"alg\": \"E"
	"CDH-ES+A256KW\", \"epk\": {\"kty\": \"EC\", \"crv\": \"P-384\", \"x\": \"2SYMqFR8e0qOkd3qi"
	"FVYsfvD5loG9AI4wUyGmie9ieb4TVyqdNr4nog9zKzYFfs6\", \"y\": \"H8zruICzglIrGu9muREMMkHkjLXLR9"
	"2iEYqrNsMDSgTo_T9GlPOu58cXh4tU1iiv\"}}, \"encrypted_key\": \"IiDtHvFg_ziD-x_daBOhuyJicp-kC"
	"h44EJoXxdPPA81ceCLXogzsBg\"}, {\"header\": {\"alg\": \"ECDH-ES+A128KW\", \"epk\": {\"kty\""
	": \"EC\", \"crv\": \"P-256\", \"x\": \"FgjFhFK0c74AdcKFLCrV6qrEutqkz9WeUzcpF3paF7Y\", \"y"
	"\": \"vkgmcu8YUCflrZtZb7w9UPW_-bTmYqO2QnX7LQhyRnA\"}}, \"encrypted_key\": \"boR7RENIsDvMrS"
	"KqqDT8rG_hPjG4QYcc4zFNq82O91hL8m-4aevaXQ\"}], \"encrypted_key\": \"SGfpdd1oRRxqkXiroLm-e9X"
	"aJG-IFHfOnxOjuoVyC3SLiruvBfUyrvgGn0iQvPJNlyR-LkDPq2nj7BQA_RxfTsJ-LHzWxiYrnhXbhptOAnpHAnhbg"
	"SLqRyrLqpIjEtrdh-HF1Xe4v2uobMN8-p90d_pRQYnp8xtazwC-cN4YwiFUJqp_riQKqpJQKdVD_61Nex9BdTOuEAP"
	"tXg_A2oGK_k4-mKFJigvWS2_LkS-ix4pm897A_rLrXpAysA8pv4QwOzl88L-LcdRUqNnrKgC_v7hiA-u4uYMVjIDEu"
	"1UYoJkycO-1-pQhTDg9ezos5UkkpJO-VlYyPuPMWnOehN1NFA\", \"protected\": \"eyJlbmMiOiAiQTI1NkdD"
	"TSJ9\", \"iv\": \"yPwP---IxlCBYYC5\", \"ciphertext\": \"yM2vP2KqLBHc-hs\", \"tag\": \"b-E0"
	"V_ThTzKnidv-1s-fXw\"}";

static const char jwe_known_prime256v1_ecdh_es_a128kw_2[] =
	"{\"encrypted_key\": \"MGdz8Mhu3c3PNyFk7Zq2k57IYAPn6B2xhTcK9rtM0NGTPfTme-XMCg\", \"protecte"
	"d\": \"eyJlbmMiOiAiQTI1NkdDTSIsICJhbGciOiAiRUNESC1FUytBMTI4S1ciLCAiZXBrIjogeyJrdHkiOiAiRUM"
	"iLCAiY3J2IjogIlAtMjU2IiwgIngiOiAiMk1jd1hWTG9FZlZJSW4wT1dJem8wOWF3Q2pCdUxBS1c1MEg0T3hEaUpNM"
	"CIsICJ5IjogIjhGQ2phZWI2Nk9rQktHbU5WOFotZm5zdG02RWQzSHhBbFJjRnhoMHVZYkkifX0\", \"iv\": \"qh"
	"SLSaTMsnrf2WXf\", \"ciphertext\": \"9DrohZokILc8L5g\", \"tag\": \"6syVdo_8MAhYHkKUuiGxvw\""
	"}";

static const char jwe_known_prime256v1_ecdh_es_a256kw_4[] =
	"{\"encrypted_key\": \"ndWXjd2A8i5xV8ugJJZiqLMXzt7XydZP_nBEIbMLdoMsVfQ17DEbyQ\", \"protecte"
	"d\": \"eyJlbmMiOiAiQTI1NkdDTSIsICJhbGciOiAiRUNESC1FUytBMjU2S1ciLCAiZXBrIjogeyJrdHkiOiAiRUM"
	"iLCAiY3J2IjogIlAtMjU2IiwgIngiOiAiT1J0dXl2VXRTSmV0RmFhM1ZXd2VEU1E5QUtablg2cVl5THh4cUgtekNyR"
	"SIsICJ5IjogIlVGT1JUUmxUcEo0VHljdFlncG1IVGsxWXpfNVY1VXZkcUpxYlFPcmtPSHcifSwgImFwdSI6ICJRV3h"
	"wWTJVIiwgImFwdiI6ICJRbTlpIn0\", \"iv\": \"rehJ6_qvst2NRAck\", \"ciphertext\": \"5jIvn5WEW-"
	"PRP04\", \"tag\": \"BWnWxTozOzQxxRCZrjbEeA\"}";

static const char jwe_known_rsa_rsa_oaep_2[] =
	"{\"encrypted_key\": \"fC2G7_vx0_axLFiyQ6i32QIOliOJ1fA5GG0_z2DJKCogIjr_M2F1DMUiJF6gCDBP2rLj"
	"tJk7NiB3h46DrSITbRSvDHHprqeeVdPRkoL-fxwhbZifkWIXuFfmutcIs1NT49hb4Grmw7qSS8DTVmCLUi0i3Brb0o"
	"VThDtnL1vaLnehOYid7W54mJ1JfB_VQ-Y5vP9ojvHQWbfWHZRTgaiblPfVnvPcw2C_Ur0kLOgoV7o5mNyPWEuJ8Z3f"
	"_c7zv0qBxswwa_ohgoR9gxtN2dgHQAdVYyDccySCG3KV-H3dNruRnoFVOsV95pV5dTcBHvAwAU5GfYgge6vaNyBTqF"
	"Ty2A\", \"protected\": \"eyJlbmMiOiAiQTI1NkdDTSIsICJhbGciOiAiUlNBLU9BRVAifQ\", \"iv\": \"B"
	"MPnPs6dd9TTi5Ri\", \"ciphertext\": \"jDdY81qm4neouIU\", \"tag\": \"BoIp1fI2oVbwZe1RAsPbTw"
	"\"}";

static const char jwe_known_rsa_rsa_oaep_256_2[] =
	"{\"encrypted_key\": \"DU5SpSSORSVMM7OxDI1FxREq5wckgRTJu0Lnl9NujzxnYGaY3E4Xa5MPsQlhDznHuwnz"
	"CgEalen6vAEJg9m5ZjahR6f_EmF4Lt01Ae8buGElX2CL1LmV_uCcsdQeMKpuf3j6tTrfNkL9IRPFO07tUDWT4_FMEg"
	"n0t1WolqxR_DJCn9O4C3O3vk5dgh3NQ5_XuLjKRYc5suIYFJrQttE_9azMf6TvOASX9U1qURtxFtwUylgCzA4qyxF9"
	"THPofIQyn5JE_H71NoQE0dCqPYlVUOCytF25eJUt2X0OtNnNgnJwMhC95YPI8E8Q-fwGFhDNi3QykI3aVon-Vhlzcf"
	"8lsQ\", \"protected\": \"eyJlbmMiOiAiQTI1NkdDTSIsICJhbGciOiAiUlNBLU9BRVAtMjU2In0\", \"iv\""
	": \"5rl1nOpZVv3KDyu5\", \"ciphertext\": \"sm_vCKGVqlnD2nE\", \"tag\": \"1B-MH58211Z4wC42LI"
	"TA8A\"}";

static const char jwe_known_secp384r1_ecdh_es_a192kw_2[] =
	"{\"encrypted_key\": \"DlUC5NRi1Xhsk3jLu0Sl-eUPkz5RXYOszf7pu_8gTWzT3MPTYn04Jg\", \"protecte"
	"d\": \"eyJlbmMiOiAiQTI1NkdDTSIsICJhbGciOiAiRUNESC1FUytBMTkyS1ciLCAiZXBrIjogeyJrdHkiOiAiRUM"
	"iLCAiY3J2IjogIlAtMzg0IiwgIngiOiAiaU14X0R3MzZpQ2haS2FtdE1VWno1MG5yUUtfcUxLTnVkUm8yUzJ4aXZkR"
	"1AyN3VEa3E5azJPRjZjSklvcTZOUCIsICJ5IjogImpVc3E1d0RWOG1ic3hLa0drUjYzT1FYd2JsQ3ExcHNtS1VNdjl"
	"INjNOdURKNHpRbF8xSGVZa1NhVGctN05iaEsifX0\", \"iv\": \"yNLQg2xu_0hB8LpJ\", \"ciphertext\": "
	"\"ak5erIK1BRf9ugw\", \"tag\": \"nsH8U9siUqSbcTjT8IYJEQ\"}";

static const char jwe_known_secp521r1_ecdh_es_a256kw_2[] =
	"{\"encrypted_key\": \"kTeBPYdp1NedX7-g9DrVjHmLspkHLu7PIUuliFDSPxdNMvuvLTlnRw\", \"protecte"
	"d\": \"eyJlbmMiOiAiQTI1NkdDTSIsICJhbGciOiAiRUNESC1FUytBMjU2S1ciLCAiZXBrIjogeyJrdHkiOiAiRUM"
	"iLCAiY3J2IjogIlAtNTIxIiwgIngiOiAiQWVWbjFSQzVUZ3lLVEIwZXBtaFhJZ1FkM1VxMTU0cGhsMWl3empPYVhWe"
	"llFdVUzQXVTMmk2MDFDaXVnS0VQZ3YyenNzN0NKbW84Y3pHZzhCbkpNM0tHMSIsICJ5IjogIkFUUkpyajJQQndQUjl"
	"Kb0I0OTRqRFNCVVd4d3RCdU5HMDRzUUFfaS1JMHVZTzlkX25Od1UtbVNpZWtON1Z1RUk3NUpUM3NWYkVIejR5eXdWa"
	"GNoUHZiS3MifX0\", \"iv\": \"iVLT66Ypi2SCm6oL\", \"ciphertext\": \"MHcEwjnHdGXn-qA\", \"tag"
	"\": \"VK9P--BHHdDZXaTnw-SYzw\"}";

static const char *const jwe_known[] = {
	jwe_known_many,
	jwe_known_prime256v1_ecdh_es_a128kw_2,
	jwe_known_prime256v1_ecdh_es_a256kw_4,
	jwe_known_rsa_rsa_oaep_2,
	jwe_known_rsa_rsa_oaep_256_2,
	jwe_known_secp384r1_ecdh_es_a192kw_2,
	jwe_known_secp521r1_ecdh_es_a256kw_2,
};

#endif
